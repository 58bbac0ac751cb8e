"""The filter language: text to tree (`parser`), the tree (`tree`), and whether a run fits it (`evaluate`).

`WorkflowType = 'Order' and ExecutionStatus in ('Running') and CustomerId = 'x' order by StartTime desc`
Stores compile the tree to what they search by; text never reaches them. Reference: docs/reference/filters.md.
"""
