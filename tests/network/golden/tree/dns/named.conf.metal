// Rendered by metal: what is changed here by hand is lost.
zone "attic.example.org" { type primary; file "/etc/bind/metal/db.attic.example.org"; };
zone "0/28.100.51.198.in-addr.arpa" { type primary; file "/etc/bind/metal/db.0-28.100.51.198.in-addr.arpa"; };
zone "1.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa" { type primary; file "/etc/bind/metal/db.1.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa"; };
zone "2.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa" { type primary; file "/etc/bind/metal/db.2.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa"; };
zone "3.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa" { type primary; file "/etc/bind/metal/db.3.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa"; };
zone "32/29.113.0.203.in-addr.arpa" { type primary; file "/etc/bind/metal/db.32-29.113.0.203.in-addr.arpa"; };
zone "4.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa" { type primary; file "/etc/bind/metal/db.4.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa"; };
zone "64/29.113.0.203.in-addr.arpa" { type primary; file "/etc/bind/metal/db.64-29.113.0.203.in-addr.arpa"; };
