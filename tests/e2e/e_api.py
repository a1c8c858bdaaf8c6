#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local nym-api answers with every member that the reference's parsers require (spec bootstrap.md 4).

A shape is a dict of mandatory members, a list of one shape (an array of such), a type, or a tuple of alternatives. Members
the reference may do without are not named. Ours reads fewer of them: only this test and the crates see one missing.
"""
import json
import urllib.request

from world import World

ROTATION_MEMBERS = ("current_key_rotation_id", "current_rotation_starting_epoch", "current_rotation_ending_epoch")
BUILD_MEMBERS = ("binary_name", "build_timestamp", "build_version", "commit_sha", "commit_timestamp", "commit_branch",
                 "rustc_version", "rustc_channel", "cargo_profile", "cargo_triple")
NONE = type(None)
ROLES = {"mixnode": bool, "entry": bool, "exit_nr": bool, "exit_ipr": bool}
PAGES = {"total": int, "page": int, "size": int}
ENTRY = {"hostname": (str, NONE), "ws_port": int, "wss_port": (int, NONE)}
SKIMMED = {
    "metadata": {"status": (NONE, str, dict), "absolute_epoch_id": int, "rotation_id": int, "refreshed_at": str},
    "nodes": {"pagination": PAGES, "data": [{
        "node_id": int, "ed25519_identity_pubkey": str, "ip_addresses": [str], "mix_port": int,
        "x25519_sphinx_pubkey": str, "role": (str, {"Mixnode": {"layer": int}}), "supported_roles": ROLES,
        "entry": (NONE, ENTRY), "performance": str}]},
}
SHAPES = {
    "/v2/unstable/nym-nodes/skimmed": SKIMMED,
    "/v2/unstable/nym-nodes/skimmed/mixnodes/active": SKIMMED,
    "/v2/unstable/nym-nodes/skimmed/entry-gateways": SKIMMED,
    "/v2/unstable/nym-nodes/skimmed/exit-gateways": SKIMMED,
    "/v1/nym-nodes/rewarded-set": {"epoch_id": int, "entry_gateways": [int], "exit_gateways": [int], "layer1": [int],
                                   "layer2": [int], "layer3": [int], "standby": [int]},
    "/v1/epoch/key-rotation-info": {
        "key_rotation_state": {"validity_epochs": int, "initial_epoch_id": int}, "current_absolute_epoch_id": int,
        "current_epoch_start": str, "epoch_duration": {"secs": int, "nanos": int},
        "progress": dict.fromkeys(ROTATION_MEMBERS, int)},
    "/v2/nym-nodes/described": {"pagination": PAGES, "data": [{
        "node_id": int, "contract_node_type": str, "description": {
            "host_information": {"ip_address": [str], "hostname": (str, NONE), "keys": {
                "ed25519": str, "x25519": str, "current_x25519_sphinx_key": {"rotation_id": int, "public_key": str}}},
            "declared_role": ROLES,
            "auxiliary_details": {"location": NONE},  # "XX" is no country to the reference
            "build_information": dict.fromkeys(BUILD_MEMBERS, str),
            "mixnet_websockets": {"ws_port": int, "wss_port": (int, NONE)}}}]},
}


def differs(value, shape, where):
    """What is wrong with value, or nothing."""
    if isinstance(shape, tuple):
        return None if any(not differs(value, s, where) for s in shape) else f"{where}: {value!r} is none of {shape}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where}: no array"
        return next(filter(None, (differs(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where}: no object"
        missing = [m for m in shape if m not in value]
        if missing:
            return f"{where}: no {', '.join(missing)}"
        return next(filter(None, (differs(value[m], s, f"{where}.{m}") for m, s in shape.items())), None)
    return None if isinstance(value, shape) else f"{where}: {value!r} is no {shape.__name__}"


def main():
    bad = []
    with World(web=False, dns=False) as w:
        for path, shape in SHAPES.items():
            with urllib.request.urlopen(w.api.rstrip("/") + path + "?page=0", timeout=30) as answer:
                value = json.load(answer)
            wrong = differs(value, shape, path)
            if wrong:
                bad.append(wrong)
    print("\n".join(bad) or f"{len(SHAPES)} answers whole")
    return bool(bad)


if __name__ == "__main__":
    raise SystemExit(main())
