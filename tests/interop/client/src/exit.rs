// SPDX-License-Identifier: Apache-2.0
//! An IP packet router made of the crates, behind which everything echoes.
use crate::{unbundle, Outcome};
use bytes::BytesMut;
use nym_ip_packet_requests::codec::MultiIpPacketCodec;
use nym_ip_packet_requests::v8::request::{ControlRequest, IpPacketRequest, IpPacketRequestData};
use nym_ip_packet_requests::{v10, v8, v9, IpPair};
use nym_lp_data::packet::frame::{
    LpFrame, LpFrameHeader, LpFrameKind, SphinxStreamFrameAttributes, SphinxStreamMsgType,
};
use nym_sdk::mixnet::{MixnetClient, MixnetMessageSender, ReconstructedMessage};
use std::net::{Ipv4Addr, Ipv6Addr};

const IPS: IpPair = IpPair { ipv4: Ipv4Addr::new(10, 0, 7, 7), ipv6: Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0x707) };
const MTU: u16 = 1400;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// As the router in a nym-node does, this one takes messages one by one: an Open is not needed, sequence numbers are not
/// looked at. Control answers have number 0, data is numbered from 1.
pub async fn run(mut client: MixnetClient, newest: u8) -> Outcome<()> {
    println!("{}", client.nym_address());
    let mut sequence = 0;
    while let Some(batch) = client.wait_for_messages().await {
        for message in batch {
            let (Some(tag), Some((stream, payload))) = (message.sender_tag, payload_of(&message.message)) else {
                println!("error: no stream frame that can be answered");
                continue;
            };
            for (answer, is_data) in serve(payload, newest)? {
                sequence += u32::from(is_data);
                let frame = framed(stream, if is_data { sequence } else { 0 }, answer);
                client.send_reply(tag, frame).await?;
            }
        }
    }
    Err("the client has ended".into())
}

/// Stream and payload of a Data frame.
fn payload_of(message: &[u8]) -> Option<(u64, Vec<u8>)> {
    let header = LpFrameHeader::parse(message).ok()?;
    let attributes = SphinxStreamFrameAttributes::parse(&header.frame_attributes).ok()?;
    (header.kind == LpFrameKind::SphinxStream && attributes.msg_type == SphinxStreamMsgType::Data)
        .then(|| (attributes.stream_id, message[LpFrameHeader::SIZE..].to_vec()))
}

fn framed(stream_id: u64, sequence_num: u32, payload: Vec<u8>) -> Vec<u8> {
    let attributes = SphinxStreamFrameAttributes { stream_id, msg_type: SphinxStreamMsgType::Data, sequence_num };
    let mut bytes = BytesMut::new();
    LpFrame::new_stream(attributes, payload).encode(&mut bytes);
    bytes.to_vec()
}

/// The answers to one message, and whether they are data.
fn serve(payload: Vec<u8>, newest: u8) -> Outcome<Vec<(Vec<u8>, bool)>> {
    let message = ReconstructedMessage { message: payload, sender_tag: None };
    let request = IpPacketRequest::from_reconstructed_message(&message)?;
    let version = request.protocol.version;
    if !(v9::VERSION..=newest).contains(&version) {
        println!("ignored version={version}");
        return Ok(Vec::new());
    }
    Ok(match request.data {
        IpPacketRequestData::Control(control) => {
            control_answer(&control, version).into_iter().map(|a| (a, false)).collect()
        }
        IpPacketRequestData::Data(data) => {
            let packets = unbundle(&data.ip_packets);
            println!("data version={version} packets={}", packets.len());
            packets.into_iter().filter_map(turned).flat_map(repeated).map(|p| (data_answer(p, version), true)).collect()
        }
    })
}

fn control_answer(control: &ControlRequest, version: u8) -> Option<Vec<u8>> {
    match control {
        ControlRequest::Connect(connect) => {
            println!("connect version={version}");
            Some(connect_answer(connect.request_id, version))
        }
        ControlRequest::Ping(ping) => {
            println!("ping version={version}");
            let pong = v8::response::PongResponse { request_id: ping.request_id };
            Some(v8_control(v8::response::ControlResponse::Pong(pong), version))
        }
        ControlRequest::Disconnect(disconnect) => {
            println!("disconnect version={version}");
            let answer = v8::response::DisconnectResponse {
                request_id: disconnect.request_id,
                reply: v8::response::DisconnectResponseReply::Success,
            };
            Some(v8_control(v8::response::ControlResponse::Disconnect(answer), version))
        }
        ControlRequest::Health(_) => None,
    }
}

/// Control answers other than to connect have the same bytes in all three versions.
fn v8_control(control: v8::response::ControlResponse, version: u8) -> Vec<u8> {
    let data = v8::response::IpPacketResponseData::Control(Box::new(control));
    v8::response::IpPacketResponse { version, data }.to_bytes().expect("an answer")
}

fn connect_answer(request_id: u64, version: u8) -> Vec<u8> {
    if version == v9::VERSION {
        let reply = v8::response::ConnectResponseReply::Success(v8::response::ConnectSuccess { ips: IPS });
        let answer = v8::response::ConnectResponse { request_id, reply };
        return v8_control(v8::response::ControlResponse::Connect(answer), version);
    }
    let reply = v10::response::ConnectResponseReply::Success(v10::response::ConnectSuccess { ips: IPS, mtu: MTU });
    let answer = v10::response::ConnectResponse { request_id, reply };
    let control = v10::response::ControlResponse::Connect(answer);
    let data = v10::response::IpPacketResponseData::Control(Box::new(control));
    v10::response::IpPacketResponse { version, data }.to_bytes().expect("an answer")
}

fn data_answer(packet: Vec<u8>, version: u8) -> Vec<u8> {
    let bundle = MultiIpPacketCodec::bundle_one_packet(packet.into());
    if version == v9::VERSION {
        return v9::new_ip_packet_response(bundle).to_bytes().expect("an answer");
    }
    v10::new_ip_packet_response(bundle).to_bytes().expect("an answer")
}

/// The packet on its way back: addresses and ports trade places, which no checksum sees; an echo request becomes a reply.
fn turned(mut p: Vec<u8>) -> Option<Vec<u8>> {
    let (protocol, l4, source, len) = match p.first()? >> 4 {
        4 => (*p.get(9)?, usize::from(p[0] & 15) * 4, 12, 4),
        6 => (*p.get(6)?, 40, 8, 16),
        _ => return None,
    };
    if p.len() < l4 + 8 {
        return None;
    }
    swap(&mut p, source, len);
    match protocol {
        UDP => swap(&mut p, l4, 2),
        ICMP if p[l4] == 8 => retype(&mut p, l4, 0),
        ICMPV6 if p[l4] == 128 => retype(&mut p, l4, 129),
        _ => return None,
    }
    Some(p)
}

/// An answer from UDP port 4000 + N of IPv4 comes N times: that takes more SURBs than the question brought.
fn repeated(p: Vec<u8>) -> Vec<Vec<u8>> {
    let times = match (p[0] >> 4, p[9]) {
        (4, UDP) => usize::from(u16::from_be_bytes([p[20], p[21]]).saturating_sub(4000)).max(1),
        _ => 1,
    };
    vec![p; times]
}

/// Two neighbours of `len` bytes each.
fn swap(p: &mut [u8], at: usize, len: usize) {
    let (first, second) = p[at..at + 2 * len].split_at_mut(len);
    first.swap_with_slice(second);
}

/// Another ICMP type, and the checksum that goes with it (RFC 1624, equation 3).
fn retype(p: &mut [u8], at: usize, to: u8) {
    let old = u16::from_be_bytes([p[at], p[at + 1]]);
    p[at] = to;
    let new = u16::from_be_bytes([p[at], p[at + 1]]);
    let sum = u32::from(!u16::from_be_bytes([p[at + 2], p[at + 3]])) + u32::from(!old) + u32::from(new);
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    p[at + 2..at + 4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}
