//! Stories: a world, what is done in it, and what the wire and the disk then hold.

mod clients;
mod crash;
mod daemon;
mod dkim_peers;
mod flow;
mod http;
mod internet;
mod journal;
mod layers;
mod mta;
mod settings;
mod stories_delivery;
mod stories_dns;
mod stories_hours;
mod stories_lanes;
mod stories_limits;
mod stories_operator;
mod stories_process;
mod stories_providers;
mod stories_retry;
mod stories_smuggling;
mod stories_sources;
mod stories_tls;
mod stories_traffic;
mod stories_warmup;
mod talk;
