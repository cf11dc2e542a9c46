"""A salon's bookings: messages to its clients when one is made, moved or cancelled, and reminders of visits.

From a webhook to a message: `processing.apply` reads the webhook (`records.parse`), decides by what is known
already (`decisions.decide`), and queues messages (`messages.queue`) in the salon's words (`wording.text_of`).
`rows` stores what is known, `reminders` plans and sends reminders.
"""
