"""Reception: Storage SCP, admission, storage commitment and identification of received objects."""
