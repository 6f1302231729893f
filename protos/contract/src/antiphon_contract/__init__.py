"""What the protos cannot say: which code an error has, what metadata is called, how a stream folds."""
