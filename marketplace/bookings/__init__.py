"""A salon's bookings, told to its clients: made, moved, cancelled, and a reminder before the visit.

`records` reads what YClients says of a booking, `decisions` compares it with what is known already,
`rendering` writes the text, `messages` and `reminders` put it into the queue, `applying` does all that to one
webhook in one transaction.
"""
