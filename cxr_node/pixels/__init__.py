"""Any accepted film to display brightness with geometry, and the gate that says why not."""
