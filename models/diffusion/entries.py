"""Registry entries of this family; see `limelight.models.registry`."""

from limelight.models.entry import Entry

PACKAGES = ("diffusers", "transformers")

ENTRIES = {
    "autoencoder-tiny": Entry(
        "diffusion.autoencoder:PictureAutoencoder",
        "the autoencoder of the tiny diffusion models, which is trained before them",
        {"vae": "tiny"},
        64,
        packages=PACKAGES,
    ),
    "diffsod": Entry(
        "diffusion.diffsod.network:DiffSOD",
        "diffSOD on Stable Diffusion 2, RGB, RGB-D and RGB-T, 1.2 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "branch": "published"},
        384,
        "openrail++",
        PACKAGES,
    ),
    "diffsod-tiny": Entry(
        "diffusion.diffsod.network:DiffSOD",
        "diffSOD's code at 2.5 M parameters, for tests and demos",
        {"unet": "tiny", "vae": "tiny", "scheduler": "sd2", "branch": "tiny"},
        64,
        packages=PACKAGES,
    ),
    "segdiffusion": Entry(
        "diffusion.segdiffusion.network:SegDiffusion",
        "Seg-diffusion on Stable Diffusion 2, one mask per prompt, 0.9 G trained parameters",
        {"unet": "sd2", "vae": "sd2", "scheduler": "sd2", "text": "sd2"},
        384,
        "openrail++",
        PACKAGES,
    ),
    "segdiffusion-tiny": Entry(
        "diffusion.segdiffusion.network:SegDiffusion",
        "Seg-diffusion's code at 1.5 M parameters, for tests and demos",
        {
            "unet": "tiny",
            "vae": "tiny",
            "scheduler": "sd2",
            "text": "tiny",
            "tokenizer": "words",
            "train_text": True,
        },
        64,
        packages=PACKAGES,
    ),
}
