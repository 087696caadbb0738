# Look for features at the last token that say a kind of word (a currency, a language), and for how much each subject carries by itself.
# Trace the first two and compare: which features depend on the country, and which on what is asked about it?

CURRENCY = "The currency of Japan is the"

LANGUAGE = "The language of Brazil is"

SPORT = "Michael Jordan plays the sport of"
