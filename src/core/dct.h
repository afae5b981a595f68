/* The constants of libjpeg's transform in integers (jidctint.c, jfdctint.c), for JPEGs that are written and read. */
#ifndef STOPLINE_DCT_H
#define STOPLINE_DCT_H

/* Fractional bits of colours, of the constants of a DCT, and of what is kept between its passes. */
#define COLOUR_BITS 16
#define CONST_BITS 13
#define PASS_BITS 2

#define F_0_298631336 2446
#define F_0_390180644 3196
#define F_0_541196100 4433
#define F_0_765366865 6270
#define F_0_899976223 7373
#define F_1_175875602 9633
#define F_1_501321110 12299
#define F_1_847759065 15137
#define F_1_961570560 16069
#define F_2_053119869 16819
#define F_2_562915447 20995
#define F_3_072711026 25172

#endif
