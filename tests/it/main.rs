mod dkim_peers;
mod layers;
