// The networks that registry.c lists, each defined in its family's file.
#ifndef AM_MODELS_INTERNAL_H
#define AM_MODELS_INTERNAL_H

#include "models/registry.h"

extern const am_model_def am_resnet18, am_resnet34, am_resnet50, am_resnet101, am_resnet152;
extern const am_model_def am_resnet18_cifar, am_resnet34_cifar, am_resnet50_cifar, am_resnet101_cifar,
    am_resnet152_cifar;
extern const am_model_def am_preact_resnet18, am_preact_resnet18_64;
extern const am_model_def am_cow_horse_cnn, am_p2_cnn, am_p3_cnn;
extern const am_model_def am_dcgan_p4_g, am_dcgan_p4_d, am_dcgan_p2_g, am_dcgan_p2_d;

#endif
