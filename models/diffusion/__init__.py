"""What the networks on top of Stable Diffusion share. Needs diffusers: pip install 'limelight[diffusion]'."""
