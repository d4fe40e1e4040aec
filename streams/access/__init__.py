"""Who may do what on the brokers: the permissions of each role, as a table, as commands, and checked.

    permissions_of("gate", TopicNames(), "mesura")

Rules of this package
1. A role has what it needs and nothing else: with any one of its permissions taken away, something that the role is for
   does not work, or a setting that would lose records is not noticed. `bench/results/acls.md` shows it for each.
2. The documentation, the commands and the check are made from one table (`roles`).
"""
