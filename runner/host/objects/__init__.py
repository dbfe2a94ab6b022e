"""What Kubernetes objects are called, and how they are walked. Pure: nothing here talks to a cluster or says what a run should do."""
