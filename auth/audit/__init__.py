"""What was decided: every decision of the gate once, with all that it rested on.

`record` says what a decision on record holds, `segment` how many of them become bytes, `recorder` takes them from the
gate and writes them in the background, `trail` reads them again and forgets the old, `replay` asks which answers
other policies would have given, `accessed` keeps when each identity last used an action.
"""
