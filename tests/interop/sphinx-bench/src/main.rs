// SPDX-License-Identifier: Apache-2.0
//! What a packet costs in the published `sphinx-packet` crate, printed as `bench --json crypto` prints ours.
//!
//! Both measure the same thing on one core: four hops, version 259, the regular packet of 2413 bytes, bytes to bytes.
//! A run counts calls during 0.1 s of this thread's processor time; the best of nine runs counts.
use sphinx_packet::constants::{DESTINATION_ADDRESS_LENGTH, IDENTIFIER_LENGTH, NODE_ADDRESS_LENGTH};
use sphinx_packet::crypto::{PrivateKey, PublicKey};
use sphinx_packet::header::delays::Delay;
use sphinx_packet::header::HEADER_SIZE;
use sphinx_packet::packet::builder::SphinxPacketBuilder;
use sphinx_packet::payload::PAYLOAD_OVERHEAD_SIZE;
use sphinx_packet::route::{Destination, DestinationAddressBytes, Node, NodeAddressBytes};
use sphinx_packet::version::PAYLOAD_KEYS_SEEDS_VERSION;
use sphinx_packet::{ProcessedPacketData, SphinxPacket};
use std::hint::black_box;

const HOPS: u8 = 4;
const PLAIN: usize = 2048;
const PACKET: usize = HEADER_SIZE + PAYLOAD_OVERHEAD_SIZE + PLAIN;
const RUNS: usize = 9;
const RUN_S: f64 = 0.1;

fn cpu_seconds() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is a valid place for the answer.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) }, 0);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn one_run(call: &mut dyn FnMut()) -> f64 {
    let (start, mut calls) = (cpu_seconds(), 0u32);
    loop {
        call();
        calls += 1;
        let spent = cpu_seconds() - start;
        if spent >= RUN_S {
            return f64::from(calls) / spent;
        }
    }
}

fn best(call: &mut dyn FnMut()) -> f64 {
    (0..RUNS).map(|_| one_run(call)).fold(0.0, f64::max)
}

fn main() {
    let keys: Vec<PrivateKey> = (0..HOPS).map(|_| PrivateKey::random()).collect();
    let route: Vec<Node> = keys
        .iter()
        .zip(1..)
        .map(|(k, i)| Node::new(NodeAddressBytes::from_bytes([i; NODE_ADDRESS_LENGTH]), PublicKey::from(k)))
        .collect();
    let delays = [Delay::new_from_nanos(15_000_000); HOPS as usize];
    let dest =
        Destination::new(DestinationAddressBytes::from_bytes([9; DESTINATION_ADDRESS_LENGTH]), [0; IDENTIFIER_LENGTH]);
    let message = [7u8; PLAIN];
    let builder = SphinxPacketBuilder::new()
        .with_payload_size(PLAIN + PAYLOAD_OVERHEAD_SIZE)
        .with_version(PAYLOAD_KEYS_SEEDS_VERSION);
    let build = || builder.build_packet(message, &route, &dest, &delays).expect("a packet").to_bytes();
    let process =
        |bytes: &[u8]| match SphinxPacket::from_bytes(bytes).and_then(|p| p.process(&keys[0])).expect("a hop").data {
            ProcessedPacketData::ForwardHop { next_hop_packet, .. } => next_hop_packet.to_bytes(),
            ProcessedPacketData::FinalHop { .. } => panic!("the first hop is not the last"),
        };
    let packet = build();
    assert_eq!((packet.len(), process(&packet).len()), (PACKET, PACKET));

    for (name, rate) in [
        ("sphinx_build_per_s", best(&mut || drop(black_box(build())))),
        ("sphinx_process_per_s", best(&mut || drop(black_box(process(black_box(&packet)))))),
    ] {
        println!("{{\"name\": \"{name}\", \"value\": {rate:.6}, \"unit\": \"packets/s\"}}");
    }
}
