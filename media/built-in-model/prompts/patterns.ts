// Look at which earlier tokens the answer draws on: the day before, the word after the first "tiger", the open quote and bracket.
// Repetition is done by attention, which the graph takes as given: few features carry it, most influence comes from the tokens.

export const days = "Monday, Tuesday, Wednesday,";

export const repetition = "river lamp tiger cloud river lamp tiger";

export const brackets = `print("apple`;
