"""The cases, by subject. `antiphon_conformance.suite` puts them together."""
