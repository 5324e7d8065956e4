//! Stories: a world, what is done in it, and what the wire and the disk then hold.

mod dkim_peers;
mod layers;
mod settings;
