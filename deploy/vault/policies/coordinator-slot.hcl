
# Moves the versions of this key through their stages. The key itself it can neither read nor write.
path "${mount}/data/${prefix}/${slot}-state" {
  capabilities = ["create", "read", "update", "patch"]
}
path "${mount}/metadata/${prefix}/${slot}" {
  capabilities = ["read"]
}
path "${mount}/metadata/${prefix}/${slot}-state" {
  capabilities = ["read"]
}
# Retires a version that nobody uses any more: it can be undone. Destroying is left to people.
path "${mount}/delete/${prefix}/${slot}" {
  capabilities = ["update"]
}
