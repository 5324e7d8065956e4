//! Stories: a world, what is done in it, and what the wire and the disk then hold.

mod dkim_peers;
mod layers;
mod http;
mod journal;
mod internet;
mod daemon;
mod mta;
mod settings;
mod talk;
mod clients;
mod crash;
mod stories_delivery;
mod stories_dns;
mod stories_operator;
mod stories_retry;
mod stories_smuggling;
mod stories_tls;
