# The rotation coordinator: sees which slots there are, and gets its own certificates. What it may do to a slot is in
# coordinator-slot.hcl, once for each.
path "${mount}/metadata/${prefix}/" {
  capabilities = ["list"]
}
path "${mount}/metadata/${prefix}/+/" {
  capabilities = ["list"]
}
path "${pki}/issue/antiphon-coordinator" {
  capabilities = ["update"]
}
