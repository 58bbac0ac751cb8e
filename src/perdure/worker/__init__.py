"""The worker: runs workflows' turns and activities' attempts for whoever holds the store's URL."""
