"""Who serves what: members, quorum, witness, roles and fencing."""
