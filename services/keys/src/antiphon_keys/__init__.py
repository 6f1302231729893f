"""The rotation coordinator: moves the versions of provider keys through their stages. It can read no key."""
