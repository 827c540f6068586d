import CSystem

// Nothing is left to flush or to release.
_exit(StoreProcess.run())
