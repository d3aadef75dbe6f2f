"""Video files in and out, by PyAV (the extra `video`). Nothing here imports it before a video is opened."""
