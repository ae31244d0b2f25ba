"""Add, invite and erase people; accounts, sessions and memberships."""
