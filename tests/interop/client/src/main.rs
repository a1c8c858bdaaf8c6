// SPDX-License-Identifier: Apache-2.0
//! The published `nym-sdk` against smolmix: as a client of `smolmix-localnet`, and as an exit for `smolmix-run`.
//!
//!     smolmix-interop-client client API GATEWAY EXIT PING4 PING6
//!     smolmix-interop-client exit API GATEWAY VERSION
//!
//! `client` finds the exit in the directory, registers, writes to itself and answers itself with SURBs, opens streams to
//! the EXIT and pings through it with messages of version 9 and 10; it prints a line for each thing that worked and ends
//! with 1 at the first that did not. `exit` prints its address, then serves as an IP packet router of at most VERSION:
//! whoever connects finds an internet in which every UDP datagram and every ping comes back from where it was sent to; it
//! runs until it is killed. RUST_LOG shows what the crates have to say.
use bytes::{Bytes, BytesMut};
use nym_ip_packet_requests::codec::MultiIpPacketCodec;
use nym_ip_packet_requests::icmp_utils::{build_icmp_ping, build_icmpv6_ping, is_echo_reply_v4, is_echo_reply_v6};
use nym_ip_packet_requests::response_helpers::{
    handle_ipr_response, parse_connect_response, parse_connect_response_v10, MixnetMessageOutcome,
};
use nym_ip_packet_requests::{v10, v9, IpPair};
use nym_sdk::ip_packet_client::discovery::{create_nym_api_client, get_best_ipr};
use nym_sdk::mixnet::{
    IncludedSurbs, MixnetClient, MixnetClientBuilder, MixnetMessageSender, MixnetStream, Recipient,
    ReconstructedMessage,
};
use nym_sdk::{NymNetworkDetails, ValidatorDetails};
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

mod exit;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(60);
const SURBS: u32 = 10;

fn network(api: &str) -> NymNetworkDetails {
    let mut network = NymNetworkDetails::new_empty();
    network.network_name = "smolmix-localnet".into();
    network.endpoints = vec![ValidatorDetails::new(api, Some(api), None)];
    network
}

async fn connect(api: &str, gateway: &str) -> Outcome<MixnetClient> {
    Ok(MixnetClientBuilder::new_ephemeral()
        .network_details(network(api))
        .request_gateway(gateway.into())
        .build()?
        .connect_to_mixnet()
        .await?)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + len) as u8).collect()
}

/// The next message that carries anything.
async fn next_message(client: &mut MixnetClient) -> Outcome<ReconstructedMessage> {
    let wait = async {
        loop {
            let batch = client.wait_for_messages().await.ok_or("the client has ended")?;
            if let Some(m) = batch.into_iter().find(|m| !m.message.is_empty()) {
                return Ok(m);
            }
        }
    };
    timeout(PATIENCE, wait).await.map_err(|_| "no message in time")?
}

/// A message of `ask` bytes to ourselves, and an answer of `answer` bytes over the SURBs that came with it.
async fn round_trip(client: &mut MixnetClient, ask: usize, answer: usize) -> Outcome<()> {
    let own = *client.nym_address();
    client.send_message(own, pattern(ask), IncludedSurbs::new(SURBS)).await?;
    let asked = next_message(client).await?;
    if asked.message != pattern(ask) {
        return Err("the message arrived changed".into());
    }
    let tag = asked.sender_tag.ok_or("the message came without a sender tag")?;
    client.send_reply(tag, pattern(answer)).await?;
    let answered = next_message(client).await?;
    if answered.message != pattern(answer) || answered.sender_tag.is_some() {
        return Err("the answer arrived changed".into());
    }
    println!("ok message of {ask} bytes, answer of {answer}");
    Ok(())
}

/// Asks for addresses; the MTU is known from version 10 on.
async fn ipr_connect(stream: &mut MixnetStream, version: u8) -> Outcome<(IpPair, Option<u16>)> {
    let (request, id) = match version {
        v9::VERSION => v9::new_connect_request(None),
        _ => v10::new_connect_request(None),
    };
    stream.write_all(&request.to_bytes()?).await?;
    let data = timeout(PATIENCE, stream.recv()).await?.ok_or("the stream closed")?;
    if version == v9::VERSION {
        let response = v9::response::IpPacketResponse::from_bytes(&data)?;
        if (response.version, response.id()) != (version, Some(id)) {
            return Err(format!("not our answer: {response:?}").into());
        }
        return Ok((parse_connect_response(response)?, None));
    }
    let response = v10::response::IpPacketResponse::from_bytes(&data)?;
    if (response.version, response.id()) != (version, Some(id)) {
        return Err(format!("not our answer: {response:?}").into());
    }
    let success = parse_connect_response_v10(response)?;
    Ok((success.ips, Some(success.mtu)))
}

async fn ping(stream: &mut MixnetStream, version: u8, packet: Vec<u8>, ours: impl Fn(&[u8]) -> bool) -> Outcome<()> {
    let bundle = MultiIpPacketCodec::bundle_one_packet(packet.into());
    let request = match version {
        v9::VERSION => v9::new_data_request(bundle),
        _ => v10::new_data_request(bundle),
    };
    stream.write_all(&request.to_bytes()?).await?;
    let data = timeout(PATIENCE, stream.recv()).await?.ok_or("the stream closed")?;
    if data.first() != Some(&version) {
        return Err(format!("an answer of version {:?}", data.first()).into());
    }
    match handle_ipr_response(&data) {
        Some(MixnetMessageOutcome::IpPackets(p)) if p.iter().any(|p| ours(p)) => Ok(()),
        _ => Err("the ping was not answered".into()),
    }
}

async fn through_exit(
    client: &mut MixnetClient,
    to: Recipient,
    version: u8,
    at4: Ipv4Addr,
    at6: Ipv6Addr,
) -> Outcome<()> {
    let mut stream = client.open_stream(to, Some(SURBS)).await?;
    let (ips, mtu) = ipr_connect(&mut stream, version).await?;
    println!("ok connect of version {version}: {ips}, MTU {mtu:?}");
    // More pings than the stream's first SURBs could answer.
    for seq in 0..SURBS as u16 + 5 {
        let packet = build_icmp_ping(ips.ipv4, at4, seq).ok_or("no ping")?;
        ping(&mut stream, version, packet, |p| is_echo_reply_v4(p, ips.ipv4)).await?;
    }
    let packet = build_icmpv6_ping(ips.ipv6, at6, 0).ok_or("no ping")?;
    ping(&mut stream, version, packet, |p| is_echo_reply_v6(p, ips.ipv6)).await?;
    println!("ok pings of version {version}: {at4}, {at6}");
    Ok(())
}

async fn run_client(api: &str, gateway: &str, to: Recipient, at4: Ipv4Addr, at6: Ipv6Addr) -> Outcome<()> {
    let (found, version) = get_best_ipr(create_nym_api_client(network(api).nym_api_urls())?).await?;
    if found != to {
        return Err(format!("the directory names another exit: {found}").into());
    }
    println!("ok directory: an exit of version {version}");
    let mut client = connect(api, gateway).await?;
    println!("ok registered as {}", client.nym_address());
    round_trip(&mut client, 10, 10).await?;
    round_trip(&mut client, 5_000, 5_000).await?;
    round_trip(&mut client, 100_000, 100_000).await?; // asks for more SURBs than it got, both ways in many fragments
    through_exit(&mut client, to, v9::VERSION, at4, at6).await?;
    through_exit(&mut client, to, v10::VERSION, at4, at6).await?;
    client.disconnect().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["client", api, gateway, to, at4, at6] => {
            run_client(api, gateway, to.parse()?, at4.parse()?, at6.parse()?).await
        }
        ["exit", api, gateway, version] => exit::run(connect(api, gateway).await?, version.parse()?).await,
        _ => Err("usage: client API GATEWAY EXIT PING4 PING6 | exit API GATEWAY VERSION".into()),
    }
}

/// The packets of a bundle.
fn unbundle(bundle: &Bytes) -> Vec<Vec<u8>> {
    let (mut codec, mut rest) = (MultiIpPacketCodec::new(), BytesMut::from(bundle.as_ref()));
    let mut packets = Vec::new();
    while let Ok(Some(p)) = codec.decode_one(&mut rest) {
        packets.push(p.into_bytes().to_vec());
    }
    packets
}
