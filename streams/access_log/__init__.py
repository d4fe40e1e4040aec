"""Who looked up which customer, when and as what: one line of JSON each, which names no customer.

Rules of this package
1. Whoever answers about a customer records it first. What cannot be recorded is not answered.
2. A customer is written as a keyed hash. The key is the erasure key, under a use of its own, so that these hashes are
   not those by which erased customers are kept.
3. It does not pass through the logging, whose level would drop it.
"""
