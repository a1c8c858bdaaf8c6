/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of the nym-api and network files. The first byte chooses the parser; what was understood becomes a
 * topology. A page of nodes may be a rewarded set and a described list at the same time: they share no
 * member.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/api.h"
#include "tests/fuzz/fuzz.h"

static void skimmed(const char *json, size_t len, bool described)
{
	struct api_rewarded w = { 0 };
	struct api_skimmed s = { 0 };
	struct topology *t;
	size_t skipped = 0, total, n = 0;

	if (api_parse_skimmed(&s, json, len, &skipped) == 0) {
		if (described)
			api_parse_described(&s, json, len, &total, &n);
		api_parse_rewarded(&w, json, len);
		t = api_topology(&s, &w);
		assert(t && t->n <= s.n);
		for (int i = 0; i < TOPO_LAYERS; i++)
			for (size_t j = 0; j < t->layer_n[i]; j++)
				assert(t->layer[i][j] < t->n && t->node[t->layer[i][j]].layer == i + 1);
		api_topology_free(t);
		api_rewarded_done(&w);
	}
	api_skimmed_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data + 1;
	struct api_rewarded w = { 0 };
	struct api_rotation k;
	struct network net;
	char err[160];

	if (!size)
		return 0;
	size--;
	switch (data[0] % 5) {
	case 0: skimmed(json, size, false); break;
	case 1: skimmed(json, size, true); break;
	case 2:
		if (api_parse_rewarded(&w, json, size) == 0)
			api_rewarded_done(&w);
		break;
	case 3:
		if (api_parse_rotation(&k, json, size) == 0)
			assert(k.validity_epochs && k.epoch_us &&
			       api_rotation_id(&k, k.initial_epoch_id) == 0);
		break;
	default:
		err[0] = '\0';
		if (network_parse(&net, json, size, err, sizeof(err)) < 0)
			assert(err[0] && strlen(err) < sizeof(err));
		else
			assert(net.n_api && net.n_api <= API_URLS_MAX);
	}
	return 0;
}
