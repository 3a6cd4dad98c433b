"""A notebook as one HTML file that holds all it needs: figures, equations, style and sliders.

It is an exporter of nbconvert, so from the project's folder this does the same for any notebook:
``jupyter nbconvert --to tests.commands.pages.offline.OfflineHTML notebook.ipynb``.
"""

import json
from pathlib import Path

from nbconvert.exporters import HTMLExporter
from traitlets import default

from tests.commands.pages import frames, mathjax

TEMPLATES = Path(__file__).parent / "templates"


class OfflineHTML(HTMLExporter):
    """HTML as nbconvert's, but for what it would fetch from servers."""

    export_from_notebook = "HTML that needs no network"

    @default("template_name")
    def _template_name_default(self):
        return "offline"

    @default("embed_images")
    def _embed_images_default(self):
        return True

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self):
        return [str(TEMPLATES)]

    def _init_resources(self, resources):
        resources = super()._init_resources(resources)
        resources["mathjax_options"] = json.dumps(mathjax.OPTIONS)
        resources["mathjax_script"] = mathjax.path().read_text("utf-8")
        resources["frames_script"] = frames.script()
        return resources
