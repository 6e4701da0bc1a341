"""Images: repositories, blobs, manifests, tags, and the two dialects that speak of them."""
