/* link_priv.h - what a timed link does behind each message. */
#ifndef LINK_PRIV_H
#define LINK_PRIV_H

#include "collectives/link.h"

void link_time_due(struct link *l); /* before an isend */
void link_time_sent(struct link *l, struct link_request *req); /* behind an isend, or, where media are shared, */
void link_time_post(struct link *l, struct link_request *req); /* in its place: complete at once */
/* Around a recv, and before a receive is waited for: where media are shared the arbiter hears of the wait first, as the
 * sender may be waiting for it; else the stamp comes behind the message. */
void link_time_before(struct link *l, int peer, int tag);
void link_time_received(struct link *l, int peer, int tag);
void link_time_completed(struct link *l, struct link_request *req); /* behind a wait, or a test that says so */

#endif
