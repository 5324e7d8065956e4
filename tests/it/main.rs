mod dkim_peers;
