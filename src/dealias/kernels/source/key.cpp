// SPDX-License-Identifier: Apache-2.0
// What the library was built for, as its file name says too.
extern "C" const char* dealias_key() { return DEALIAS_KEY; }
