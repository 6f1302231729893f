# A service without provider keys (the router): certificates only.
path "${pki}/issue/antiphon-${service}" {
  capabilities = ["update"]
}
