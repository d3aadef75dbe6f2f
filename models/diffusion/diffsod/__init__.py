"""diffSOD: salient objects of images, with depth or thermal pictures beside them, drawn by a diffusion model (ICASSP
2025, "Multi-modal Salient Object Detection via a Unified Diffusion Model")."""
