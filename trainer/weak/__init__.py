"""Weak supervision: labeling functions that vote or abstain, and what is made of their votes.

For any table of columns: latency series (`trainer.weak.latency`) and rows of flow datasets
(`trainer.weak.flows`) alike. The way of the data: columns → `apply` → votes → `Patterns` →
`LabelModel` → probabilities. Labeling functions and what is told of them are those of Snorkel
(A. Ratner et al., Snorkel: Rapid Training Data Creation with Weak Supervision, VLDB 2017).
"""
