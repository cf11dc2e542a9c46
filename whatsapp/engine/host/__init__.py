"""An engine host: a child process that runs the WhatsApp library for some sessions.

It is a process of its own because the library keeps global maps without a lock and can end its process
with an error that nobody can catch (`fatal error: concurrent map writes`). Run as
`python -m whatsapp.engine.host`, with a socket to its supervisor; see `supervisor.py`. `library.py` is the
only module of the product that imports the library; nothing here imports Django.
"""
