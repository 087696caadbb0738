# Look for features that fire on the subject ("Japan", "Brazil", "Jordan") and for features at the last token that raise the answer.
# Trace the first two and compare: which features depend on the country, and which on what is asked about it?

CURRENCY = "The currency of Japan is the"

LANGUAGE = "The language of Brazil is"

SPORT = "Michael Jordan plays the sport of"
