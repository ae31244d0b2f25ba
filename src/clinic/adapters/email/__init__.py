"""Messages by email: written from templates, handed to a mail server or put into a folder."""
