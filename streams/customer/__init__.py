"""What a gate's topics hold of one customer: found, shown, exported, erased, corrected.

    held = find(cluster, names, customer_id, erasure_key)

Rules of this package
1. Everything is found by reading: every partition of every topic, up to the ends that they have when it begins. No list
   of where a customer might be can be incomplete, because there is none.
2. What is certainly the customer's is told apart from what may be somebody else's. Only of the first the content is
   given out.
3. Nothing is changed but by ordinary events, which the gate applies as it applies those of anybody.
4. Nothing of a customer gets into a log or an error text.
"""
