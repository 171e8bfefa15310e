// EnsignReconciler
