"""Stand-ins for Runware and Runflow: strict, billed, and able to fail on command.

Built from the providers' documents alone. Nothing here is shared with `adapters/`: a stand-in made from an adapter
would agree with its mistakes.
"""
