"""`cxr-node bundle`: the commands of one group, from the modules that define them."""

from cxr_node.cli import bundle_activate, bundle_import, bundle_import_onnx, bundles

app = bundles.app
app.command("import-xrv")(bundle_import.import_xrv)
app.command("import-chexnet")(bundle_import.import_chexnet)
app.command("import-onnx")(bundle_import_onnx.import_onnx)
app.command("pull")(bundle_import.pull)
app.command("activate")(bundle_activate.activate)
app.command("deactivate")(bundle_activate.deactivate)
app.command("uses")(bundle_activate.uses)
