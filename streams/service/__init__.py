"""What one may ask of a gate: why an intent may or may not be sent now, and which policy is in force.

Rules of this package
1. Requests, answers and errors are types. The package knows neither HTTP nor Faust: `streams.web` and `streams.cli`
   translate.
2. Nothing is recorded: the state is read as it was last committed, and left as it was.
3. Nothing is decided here that the gate would not decide: there is one `decide`.
4. Answers may tell about a customer, errors never do.
"""
