"""The demo: product and stand-ins in one process and one event loop, with a page that leads through."""
